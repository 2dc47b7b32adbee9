"""The names that recognisers and data sets give the types of personal data, by scheme and canonical type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

EntityType = Literal[
    "PERSON",
    "USERNAME",
    "EMAIL",
    "PHONE",
    "ADDRESS",
    "LOCATION",
    "DATE_OF_BIRTH",
    "DATE",
    "AGE",
    "ORG",
    "GOV_ID",
    "ACCOUNT",
    "RECORD_ID",
    "NETWORK",
    "SECRET",
    "DEMOGRAPHIC",
    "OCCUPATION",
    "HEALTH",
    "AMOUNT",
    "OTHER",
]
"""A type of personal data. `MEANINGS` says what each contains."""

Kind = Literal["direct", "quasi", "sensitive"]
"""`direct`: identifies a person alone. `quasi`: identifies together with others. `sensitive`: a protected attribute."""

Scheme = Literal[
    "spacy", "presidio", "lume", "tab", "comprehend", "azure", "dlp", "gliner", "openai", "ai4privacy", "i2b2", "hf"
]
"""Whose names a table lists. `hf`: names of other token-classification models."""

NAMES: Final[Mapping[Scheme, Mapping[EntityType, str]]] = {
    # OntoNotes, WikiNER and CoNLL, as in spaCy's pipelines.
    "spacy": {
        "PERSON": "PERSON PER",
        "LOCATION": "GPE LOC FAC",
        "DATE": "DATE TIME",
        "ORG": "ORG",
        "DEMOGRAPHIC": "NORP",
        "AMOUNT": "MONEY QUANTITY PERCENT CARDINAL",
        "OTHER": "MISC EVENT LAW WORK_OF_ART PRODUCT LANGUAGE ORDINAL",
    },
    # presidio-analyzer and presidio-research.
    "presidio": {
        "PERSON": "PERSON",
        "EMAIL": "EMAIL_ADDRESS EMAIL",
        "PHONE": "PHONE_NUMBER ZA_MOBILE_NUMBER ZA_TELEPHONE_NUMBER",
        "ADDRESS": "STREET_ADDRESS ADDRESS ZIP_CODE UK_POSTCODE CA_POSTAL_CODE DE_PLZ",
        "LOCATION": "LOCATION GPE",
        "DATE_OF_BIRTH": "DATE_OF_BIRTH",
        "DATE": "DATE_TIME",
        "AGE": "AGE",
        "ORG": "ORGANIZATION",
        "GOV_ID": "US_SSN US_ITIN US_PASSPORT US_DRIVER_LICENSE UK_NINO UK_PASSPORT UK_DRIVING_LICENCE "
        "UK_VEHICLE_REGISTRATION ES_NIF ES_NIE IT_FISCAL_CODE IT_DRIVER_LICENSE IT_VAT_CODE IT_PASSPORT "
        "IT_IDENTITY_CARD PL_PESEL SG_NRIC_FIN SG_UEN AU_ABN AU_ACN AU_TFN IN_PAN IN_AADHAAR IN_PASSPORT "
        "IN_VOTER IN_VEHICLE_REGISTRATION IN_GSTIN FI_PERSONAL_IDENTITY_CODE KR_RRN KR_FRN KR_DRIVER_LICENSE "
        "KR_PASSPORT KR_BRN TH_TNIN DE_TAX_ID DE_TAX_NUMBER DE_PASSPORT DE_ID_CARD DE_SOCIAL_SECURITY "
        "DE_VAT_ID DE_FUEHRERSCHEIN DE_KFZ DE_HANDELSREGISTER SE_PERSONNUMMER SE_ORGANISATIONSNUMMER NG_NIN "
        "NG_VEHICLE_REGISTRATION CA_SIN TR_NATIONAL_ID TR_LICENSE_PLATE ES_PASSPORT PH_PASSPORT PH_TIN PH_UMID "
        "US_PROVIDER_TAX_ID ZA_COMPANY_REGISTRATION ZA_DRIVER_LICENSE ZA_ID_NUMBER ZA_INCOME_TAX_NUMBER "
        "ZA_LICENSE_PLATE ZA_PASSPORT ZA_TRAFFIC_REGISTER_NUMBER ZA_VAT_NUMBER",
        "ACCOUNT": "CREDIT_CARD IBAN_CODE US_BANK_NUMBER CRYPTO ABA_ROUTING_NUMBER",
        "RECORD_ID": "MEDICAL_LICENSE UK_NHS AU_MEDICARE US_MBI US_NPI ID US_HEALTH_INSURANCE_MEMBER_ID "
        "US_CLAIM_NUMBER US_PRESCRIPTION_NUMBER US_PRIOR_AUTHORIZATION_NUMBER US_REFERRAL_NUMBER DE_BSNR DE_LANR "
        "DE_HEALTH_INSURANCE",
        "NETWORK": "IP_ADDRESS MAC_ADDRESS URL UUID DOMAIN_NAME",
        "DEMOGRAPHIC": "NRP",
        "OCCUPATION": "TITLE",
        "HEALTH": "MEDICAL_DISEASE_DISORDER MEDICAL_MEDICATION MEDICAL_THERAPEUTIC_PROCEDURE "
        "MEDICAL_CLINICAL_EVENT MEDICAL_BIOLOGICAL_ATTRIBUTE MEDICAL_BIOLOGICAL_STRUCTURE MEDICAL_FAMILY_HISTORY "
        "MEDICAL_HISTORY",
    },
    # LUME (SemEval 2025 task 4) and pii-anon.
    "lume": {
        "PERSON": "PERSON PERSON_NAME",
        "EMAIL": "EMAIL EMAIL_ADDRESS",
        "PHONE": "PHONE PHONE_NUMBER",
        "ADDRESS": "ADDRESS STREET_ADDRESS HOME_ADDRESS",
        "DATE_OF_BIRTH": "DATE_OF_BIRTH DOB",
        "DATE": "TIMESTAMP",
        "ORG": "ORGANIZATION_NAME",
        "GOV_ID": "SSN SOCIAL_SECURITY_NUMBER DRIVER_LICENSE_NUMBER PASSPORT_NUMBER NATIONAL_ID_NUMBER",
        "RECORD_ID": "MEDICAL_RECORD_NUMBER COURT_CASE_NUMBER DOCKET_NUMBER BAR_NUMBER EMPLOYEE_ID",
        "NETWORK": "IP_ADDRESS",
    },
    "tab": {
        "PERSON": "PERSON",
        "LOCATION": "LOC",
        "DATE": "DATETIME",
        "ORG": "ORG",
        "RECORD_ID": "CODE",
        "DEMOGRAPHIC": "DEM",
        "AMOUNT": "QUANTITY",
        "OTHER": "MISC",
    },
    # AWS Comprehend: DetectPiiEntities and DetectEntities.
    "comprehend": {
        "PERSON": "NAME PERSON",
        "USERNAME": "USERNAME",
        "EMAIL": "EMAIL",
        "PHONE": "PHONE",
        "ADDRESS": "ADDRESS",
        "LOCATION": "LOCATION",
        "DATE": "DATE_TIME DATE",
        "AGE": "AGE",
        "ORG": "ORGANIZATION",
        "GOV_ID": "SSN PASSPORT_NUMBER DRIVER_ID LICENSE_PLATE VEHICLE_IDENTIFICATION_NUMBER "
        "US_INDIVIDUAL_TAX_IDENTIFICATION_NUMBER CA_SOCIAL_INSURANCE_NUMBER IN_AADHAAR "
        "IN_PERMANENT_ACCOUNT_NUMBER IN_VOTER_NUMBER UK_NATIONAL_INSURANCE_NUMBER "
        "UK_UNIQUE_TAXPAYER_REFERENCE_NUMBER",
        "ACCOUNT": "BANK_ACCOUNT_NUMBER BANK_ROUTING CREDIT_DEBIT_NUMBER CREDIT_DEBIT_EXPIRY "
        "INTERNATIONAL_BANK_ACCOUNT_NUMBER SWIFT_CODE",
        "RECORD_ID": "CA_HEALTH_NUMBER IN_NREGA UK_NATIONAL_HEALTH_SERVICE_NUMBER",
        "NETWORK": "IP_ADDRESS MAC_ADDRESS URL",
        "SECRET": "PASSWORD PIN AWS_ACCESS_KEY AWS_SECRET_KEY CREDIT_DEBIT_CVV",
        "AMOUNT": "QUANTITY",
        "OTHER": "EVENT TITLE_OF_WORK COMMERCIAL_ITEM OTHER",
    },
    # Azure AI Language. Country-specific numbers beyond these keep their own names.
    "azure": {
        "PERSON": "Person",
        "EMAIL": "Email",
        "PHONE": "PhoneNumber",
        "ADDRESS": "Address ZipCode",
        "LOCATION": "Location City State CountryRegion GPE EUGPSCoordinates Airport Geological Structural",
        "DATE_OF_BIRTH": "DateOfBirth",
        "DATE": "DateTime Date Time DateRange TimeRange Duration Set",
        "AGE": "Age",
        "ORG": "Organization",
        "GOV_ID": "USSocialSecurityNumber USIndividualTaxpayerIdentification USUKPassportNumber "
        "USDriversLicenseNumber UKNationalInsuranceNumber UKDriversLicenseNumber UKElectoralRollNumber "
        "UKUniqueTaxpayerNumber EUSocialSecurityNumber EUPassportNumber EUDriversLicenseNumber "
        "EUNationalIdentificationNumber EUTaxIdentificationNumber DEIdentityCardNumber DEPassportNumber "
        "DEDriversLicenseNumber DETaxIdentificationNumber FRNationalID FRPassportNumber FRSocialSecurityNumber "
        "FRDriversLicenseNumber FRTaxIdentificationNumber ESDNI ESSocialSecurityNumber ESTaxIdentificationNumber "
        "CASocialInsuranceNumber CAPassportNumber CADriversLicenseNumber AUTaxFileNumber AUPassportNumber "
        "AUDriversLicenseNumber INUniqueIdentificationNumber INPermanentAccount PassportNumber "
        "DriversLicenseNumber LicensePlate VehicleIdentificationNumber",
        "ACCOUNT": "CreditCardNumber InternationalBankingAccountNumber ABARoutingNumber SWIFTCode USBankAccountNumber "
        "AUBankAccountNumber CABankAccountNumber BankAccountNumber EUDebitCardNumber SortCode ExpirationDate",
        "RECORD_ID": "UKNationalHealthNumber AUMedicalAccountNumber CAPersonalHealthIdentification "
        "CAHealthServiceNumber USMedicareBeneficiaryId DrugEnforcementAgencyNumber",
        "NETWORK": "IPAddress URL",
        "SECRET": "Password CVV PIN AzureDocumentDBAuthKey AzureStorageAccountKey AzureSAS SQLServerConnectionString "
        "AzureIoTConnectionString AzureServiceBusString AzureRedisCacheString AzureStorageAccountGeneric",
        "OCCUPATION": "PersonType JobType",
        "AMOUNT": "Quantity Number Percentage Ordinals Currency Dimension Temperature",
        "OTHER": "Event Product Skill",
    },
    # Google Cloud Sensitive Data Protection.
    "dlp": {
        "PERSON": "PERSON_NAME FIRST_NAME LAST_NAME MALE_NAME FEMALE_NAME",
        "EMAIL": "EMAIL_ADDRESS",
        "PHONE": "PHONE_NUMBER",
        "ADDRESS": "STREET_ADDRESS",
        "LOCATION": "LOCATION LOCATION_COORDINATES GEOGRAPHIC_DATA US_STATE",
        "DATE_OF_BIRTH": "DATE_OF_BIRTH",
        "DATE": "DATE TIME",
        "AGE": "AGE",
        "ORG": "ORGANIZATION_NAME",
        "GOV_ID": "US_SOCIAL_SECURITY_NUMBER US_INDIVIDUAL_TAXPAYER_IDENTIFICATION_NUMBER US_PASSPORT PASSPORT "
        "US_DRIVERS_LICENSE_NUMBER DRIVERS_LICENSE_NUMBER US_EMPLOYER_IDENTIFICATION_NUMBER "
        "VEHICLE_IDENTIFICATION_NUMBER GOVERNMENT_ID UK_NATIONAL_INSURANCE_NUMBER UK_DRIVERS_LICENSE_NUMBER "
        "UK_PASSPORT UK_TAXPAYER_REFERENCE FRANCE_NIR FRANCE_CNI FRANCE_PASSPORT FRANCE_TAX_IDENTIFICATION_NUMBER "
        "GERMANY_IDENTITY_CARD_NUMBER GERMANY_PASSPORT GERMANY_DRIVERS_LICENSE_NUMBER "
        "GERMANY_TAXPAYER_IDENTIFICATION_NUMBER SPAIN_NIF_NUMBER SPAIN_NIE_NUMBER SPAIN_DNI_NUMBER SPAIN_PASSPORT "
        "SPAIN_SOCIAL_SECURITY_NUMBER SPAIN_DRIVERS_LICENSE_NUMBER ITALY_FISCAL_CODE CANADA_SOCIAL_INSURANCE_NUMBER "
        "CANADA_PASSPORT CANADA_DRIVERS_LICENSE_NUMBER BRAZIL_CPF_NUMBER INDIA_AADHAAR_INDIVIDUAL "
        "INDIA_PAN_INDIVIDUAL AUSTRALIA_TAX_FILE_NUMBER AUSTRALIA_PASSPORT NETHERLANDS_BSN_NUMBER "
        "POLAND_PESEL_NUMBER SWEDEN_NATIONAL_ID_NUMBER",
        "ACCOUNT": "CREDIT_CARD_NUMBER CREDIT_CARD_TRACK_NUMBER CREDIT_CARD_EXPIRATION_DATE IBAN_CODE SWIFT_CODE "
        "US_BANK_ROUTING_MICR FINANCIAL_ACCOUNT_NUMBER FINANCIAL_ID AMERICAN_BANKERS_CUSIP_ID CANADA_BANK_ACCOUNT",
        "RECORD_ID": "MEDICAL_RECORD_NUMBER US_MEDICARE_BENEFICIARY_ID_NUMBER US_HEALTHCARE_NPI US_DEA_NUMBER "
        "UK_NATIONAL_HEALTH_SERVICE_NUMBER CANADA_OHIP CANADA_BC_PHN AUSTRALIA_MEDICARE_NUMBER GENERIC_ID MEDICAL_ID",
        "NETWORK": "IP_ADDRESS MAC_ADDRESS MAC_ADDRESS_LOCAL URL DOMAIN_NAME IMEI_HARDWARE_ID IMSI_ID ICCID_NUMBER "
        "ADVERTISING_ID HTTP_COOKIE HTTP_USER_AGENT",
        "SECRET": "PASSWORD AUTH_TOKEN AWS_CREDENTIALS AZURE_AUTH_TOKEN BASIC_AUTH_HEADER ENCRYPTION_KEY GCP_API_KEY "
        "GCP_CREDENTIALS JSON_WEB_TOKEN OAUTH_CLIENT_SECRET SSL_CERTIFICATE STORAGE_SIGNED_URL "
        "STORAGE_SIGNED_POLICY_DOCUMENT WEAK_PASSWORD_HASH XSRF_TOKEN SECURITY_DATA TINK_KEYSET CVV_NUMBER",
        "DEMOGRAPHIC": "GENDER ETHNIC_GROUP MARITAL_STATUS COUNTRY_DEMOGRAPHIC RELIGIOUS_TERM POLITICAL_TERM "
        "IMMIGRATION_STATUS SEXUAL_ORIENTATION TRADE_UNION DEMOGRAPHIC_DATA",
        "OCCUPATION": "EMPLOYMENT_STATUS",
        "HEALTH": "MEDICAL_TERM MEDICAL_DATA BLOOD_TYPE ICD9_CODE ICD10_CODE FDA_CODE",
    },
    # The default names of NVIDIA's GLiNER-PII and of Gretel's and Knowledgator's models.
    "gliner": {
        "PERSON": "person name first_name last_name middle_name full_name",
        "USERNAME": "user_name username",
        "EMAIL": "email email_address",
        "PHONE": "phone_number fax_number mobile_phone_number landline_phone_number phone",
        "ADDRESS": "street_address postcode address postal_code full_address",
        "LOCATION": "city county state country place_name coordinate location",
        "DATE_OF_BIRTH": "date_of_birth dob",
        "DATE": "date time date_time",
        "AGE": "age",
        "ORG": "company_name organization_name organization organisation company university court_name",
        "GOV_ID": "ssn social_security_number national_id tax_id license_plate passport_number passport "
        "drivers_license_number certificate_license_number vehicle_identifier national_id_number identity_card_number "
        "identity_document_number tax_identification_number vehicle_registration_number driver_license",
        "ACCOUNT": "account_number credit_debit_card swift_bic bank_routing_number credit_card_number iban "
        "bank_account_number credit_card_expiration_date credit_card",
        "RECORD_ID": "medical_record_number customer_id employee_id unique_id health_plan_beneficiary_number "
        "biometric_identifier health_insurance_id_number health_insurance_number student_id_number reservation_number "
        "insurance_number transaction_number registration_number case_number docket_number",
        "NETWORK": "mac_address url device_identifier ipv4 ipv6 ip_address http_cookie digital_signature serial_number",
        "SECRET": "password api_key pin cvv cvc security_code",
        "DEMOGRAPHIC": "gender race_ethnicity religious_belief nationality political_view sexuality "
        "marital_status ethnicity religion",
        "OCCUPATION": "occupation employment_status education_level degree job_title profession",
        "HEALTH": "blood_type medical_condition medication health_condition disease",
        "AMOUNT": "monetary_amount",
    },
    # OpenAI's privacy filter.
    "openai": {
        "PERSON": "private_person",
        "EMAIL": "private_email",
        "PHONE": "private_phone",
        "ADDRESS": "private_address",
        "DATE": "private_date",
        "ACCOUNT": "account_number",
        "NETWORK": "private_url",
        "SECRET": "secret",
    },
    # The data sets of ai4privacy and the models trained on them.
    "ai4privacy": {
        "PERSON": "GIVENNAME SURNAME FIRSTNAME LASTNAME MIDDLENAME FULLNAME PREFIX SUFFIX LASTNAME1 LASTNAME2 "
        "LASTNAME3 GIVENNAME1 GIVENNAME2",
        "USERNAME": "USERNAME DISPLAYNAME ACCOUNTNAME",
        "EMAIL": "EMAIL",
        "PHONE": "TEL TELEPHONENUM PHONENUMBER",
        "ADDRESS": "STREET BUILDING BUILDINGNUM BUILDINGNUMBER STREETADDRESS SECADDRESS SECONDARYADDRESS POSTCODE "
        "ZIPCODE",
        "LOCATION": "CITY STATE COUNTY COUNTRY GEOCOORD NEARBYGPSCOORDINATE",
        "DATE_OF_BIRTH": "BOD DATEOFBIRTH DOB",
        "DATE": "DATE TIME",
        "AGE": "AGE",
        "ORG": "COMPANYNAME COMPANY",
        "GOV_ID": "SOCIALNUMBER SOCIALNUM SSN PASSPORT PASSPORTNUM DRIVERLICENSE DRIVERLICENSENUM IDCARD IDCARDNUM "
        "TAXNUM VEHICLEVIN VEHICLEVRM",
        "ACCOUNT": "CREDITCARDNUMBER IBAN ACCOUNTNUM ACCOUNTNUMBER BIC MASKEDNUMBER BITCOINADDRESS ETHEREUMADDRESS "
        "LITECOINADDRESS CREDITCARDISSUER CARDISSUER",
        "NETWORK": "IP IPV4 IPV6 MAC URL USERAGENT PHONEIMEI IMEI",
        "SECRET": "PASS PASSWORD PIN CREDITCARDCVV",
        "DEMOGRAPHIC": "SEX GENDER SEXTYPE EYECOLOR HEIGHT",
        "OCCUPATION": "JOBTITLE JOBAREA JOBTYPE JOBDESCRIPTOR TITLE",
        "AMOUNT": "AMOUNT CURRENCY CURRENCYCODE CURRENCYNAME CURRENCYSYMBOL",
    },
    # Clinical de-identification: i2b2 2006 and 2014, and the models trained on them.
    "i2b2": {
        "PERSON": "PATIENT DOCTOR STAFF HCW",
        "USERNAME": "USERNAME",
        "EMAIL": "EMAIL",
        "PHONE": "PHONE FAX",
        "ADDRESS": "STREET ZIP",
        "LOCATION": "CITY STATE COUNTRY LOC LOCATION LOCATION_OTHER",
        "DATE": "DATE",
        "AGE": "AGE",
        "ORG": "HOSPITAL HOSP PATORG ORGANIZATION VENDOR",
        "GOV_ID": "SSN LICENSE VEHICLE",
        "ACCOUNT": "ACCOUNT",
        "RECORD_ID": "MEDICALRECORD IDNUM ID HEALTHPLAN BIOID",
        "NETWORK": "DEVICE URL IPADDR",
        "OCCUPATION": "PROFESSION",
        "OTHER": "OTHERPHI",
    },
    "hf": {
        "PERSON": "PER PERSON PERS NAME NAME_STUDENT GIVEN_NAME SURNAME",
        "USERNAME": "USER_NAME HANDLE",
        "EMAIL": "EMAIL E_MAIL MAIL",
        "PHONE": "PHONE_NUM PHONE TELEPHONE MOBILE FAX",
        "ADDRESS": "STREET_ADDRESS ADDRESS ADDR ZIP",
        "LOCATION": "LOC LOCATION",
        "DATE_OF_BIRTH": "BIRTHDATE BIRTH_DATE DATE_OF_BIRTH",
        "DATE": "DATE TIME DATETIME",
        "AGE": "AGE",
        "ORG": "ORG ORGANIZATION ORGANISATION CORPORATION GROUP INSTITUTION",
        "GOV_ID": "ID_CARD NATIONAL_ID TAX_ID DRIVER_LICENSE NIN",
        "ACCOUNT": "CREDIT_CARD CARD_NUMBER BANK_ACCOUNT ACCOUNT_NUM IBAN_NUM",
        "RECORD_ID": "ID_NUM CASE_NUMBER MRN",
        "NETWORK": "URL URL_PERSONAL IP_ADDRESS DOMAIN",
        "SECRET": "SECRET KEY API_KEY TOKEN",
        "DEMOGRAPHIC": "NORP NATIONALITY ETHNICITY RELIGION",
        "OCCUPATION": "JOB JOB_TITLE PROFESSION",
        "HEALTH": "DISEASE CONDITION MEDICATION DIAGNOSIS",
        "AMOUNT": "MONEY AMOUNT NUM",
        "OTHER": "MISC OTHER",
    },
}
"""Each scheme's names, separated by spaces. One name means one type in all of them."""


__all__ = ["NAMES", "EntityType", "Kind", "Scheme"]
